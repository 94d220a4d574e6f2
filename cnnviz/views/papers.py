"""The papers that sections cite, each once, by first author and year."""

from cnnviz.views.kit.section import Paper

ACHANTA_2012 = Paper(
    "R. Achanta, A. Shaji, K. Smith, A. Lucchi, P. Fua, S. Süsstrunk",
    2012,
    "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
    "IEEE TPAMI",
    "https://doi.org/10.1109/TPAMI.2012.120",
)
ADEBAYO_2018 = Paper(
    "J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim",
    2018,
    "Sanity Checks for Saliency Maps",
    "NeurIPS",
    "https://arxiv.org/abs/1810.03292",
)
ERHAN_2009 = Paper(
    "D. Erhan, Y. Bengio, A. Courville, P. Vincent",
    2009,
    "Visualizing Higher-Layer Features of a Deep Network",
    "Université de Montréal, technical report 1341",
    "https://www.researchgate.net/publication/265022827",
)
EVERINGHAM_2010 = Paper(
    "M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman",
    2010,
    "The Pascal Visual Object Classes (VOC) Challenge",
    "IJCV",
    "https://doi.org/10.1007/s11263-009-0275-4",
)
GATYS_2015 = Paper(
    "L. A. Gatys, A. S. Ecker, M. Bethge",
    2015,
    "Texture Synthesis Using Convolutional Neural Networks",
    "NIPS",
    "https://arxiv.org/abs/1505.07376",
)
GATYS_2016 = Paper(
    "L. A. Gatys, A. S. Ecker, M. Bethge",
    2016,
    "Image Style Transfer Using Convolutional Neural Networks",
    "CVPR",
    "https://doi.org/10.1109/CVPR.2016.265",
)
GATYS_2016_COLOUR = Paper(
    "L. A. Gatys, M. Bethge, A. Hertzmann, E. Shechtman",
    2016,
    "Preserving Color in Neural Artistic Style Transfer",
    "arXiv",
    "https://arxiv.org/abs/1606.05897",
)
GIRSHICK_2014 = Paper(
    "R. Girshick, J. Donahue, T. Darrell, J. Malik",
    2014,
    "Rich Feature Hierarchies for Accurate Object Detection and Semantic Segmentation",
    "CVPR",
    "https://arxiv.org/abs/1311.2524",
)
GLOROT_2011 = Paper(
    "X. Glorot, A. Bordes, Y. Bengio",
    2011,
    "Deep Sparse Rectifier Neural Networks",
    "AISTATS",
    "https://proceedings.mlr.press/v15/glorot11a.html",
)
GUO_2017 = Paper(
    "C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger",
    2017,
    "On Calibration of Modern Neural Networks",
    "ICML",
    "https://arxiv.org/abs/1706.04599",
)
HOLM_1979 = Paper(
    "S. Holm",
    1979,
    "A Simple Sequentially Rejective Multiple Test Procedure",
    "Scandinavian Journal of Statistics",
    "https://www.jstor.org/stable/4615733",
)
JONKER_1987 = Paper(
    "R. Jonker, A. Volgenant",
    1987,
    "A Shortest Augmenting Path Algorithm for Dense and Sparse Linear Assignment Problems",
    "Computing 38",
    "https://doi.org/10.1007/BF02278710",
)
KRIZHEVSKY_2009 = Paper(
    "A. Krizhevsky",
    2009,
    "Learning Multiple Layers of Features from Tiny Images",
    "technical report, University of Toronto",
    "https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",
)
KRIZHEVSKY_2012 = Paper(
    "A. Krizhevsky, I. Sutskever, G. Hinton",
    2012,
    "ImageNet Classification with Deep Convolutional Neural Networks",
    "NeurIPS",
    "https://proceedings.neurips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)
MAHENDRAN_2015 = Paper(
    "A. Mahendran, A. Vedaldi",
    2015,
    "Understanding Deep Image Representations by Inverting Them",
    "CVPR",
    "https://arxiv.org/abs/1412.0035",
)
MAHENDRAN_2016 = Paper(
    "A. Mahendran, A. Vedaldi",
    2016,
    "Visualizing Deep Convolutional Neural Networks Using Natural Pre-images",
    "IJCV",
    "https://doi.org/10.1007/s11263-016-0911-8",
)
MORDVINTSEV_2015 = Paper(
    "A. Mordvintsev, C. Olah, M. Tyka",
    2015,
    "Inceptionism: Going Deeper into Neural Networks",
    "Google Research Blog",
    "https://research.google/blog/inceptionism-going-deeper-into-neural-networks/",
)
NAKANDALA_2019 = Paper(
    "S. Nakandala, A. Kumar, Y. Papakonstantinou",
    2019,
    "Incremental and Approximate Inference for Faster Occlusion-based Deep CNN Explanations",
    "SIGMOD",
    "https://doi.org/10.1145/3299869.3319874",
)
NGUYEN_2016 = Paper(
    "A. Nguyen, J. Yosinski, J. Clune",
    2016,
    "Multifaceted Feature Visualization: Uncovering the Different Types of Features Learned By Each Neuron in Deep "
    "Neural Networks",
    "ICML workshop on Visualization for Deep Learning",
    "https://arxiv.org/abs/1602.03616",
)
NIE_2018 = Paper(
    "W. Nie, Y. Zhang, A. Patel",
    2018,
    "A Theoretical Explanation for Perplexing Behaviors of Backpropagation-based Visualizations",
    "ICML",
    "https://arxiv.org/abs/1805.07039",
)
ODENA_2016 = Paper(
    "A. Odena, V. Dumoulin, C. Olah",
    2016,
    "Deconvolution and Checkerboard Artifacts",
    "Distill",
    "https://doi.org/10.23915/distill.00003",
)
OLAH_2017 = Paper(
    "C. Olah, A. Mordvintsev, L. Schubert",
    2017,
    "Feature Visualization",
    "Distill",
    "https://doi.org/10.23915/distill.00007",
)
PEARSON_1901 = Paper(
    "K. Pearson",
    1901,
    "On Lines and Planes of Closest Fit to Systems of Points in Space",
    "Philosophical Magazine 2(11)",
    "https://doi.org/10.1080/14786440109462720",
)
PETSIUK_2018 = Paper(
    "V. Petsiuk, A. Das, K. Saenko",
    2018,
    "RISE: Randomized Input Sampling for Explanation of Black-box Models",
    "BMVC",
    "https://arxiv.org/abs/1806.07421",
)
POLICAR_2024 = Paper(
    "P. G. Poličar, M. Stražar, B. Zupan",
    2024,
    "openTSNE: A Modular Python Library for t-SNE Dimensionality Reduction and Embedding",
    "Journal of Statistical Software 109(3)",
    "https://doi.org/10.18637/jss.v109.i03",
)
RIBEIRO_2016 = Paper(
    "M. T. Ribeiro, S. Singh, C. Guestrin",
    2016,
    "“Why Should I Trust You?”: Explaining the Predictions of Any Classifier",
    "KDD",
    "https://arxiv.org/abs/1602.04938",
)
ROTHER_2004 = Paper(
    "C. Rother, V. Kolmogorov, A. Blake",
    2004,
    "“GrabCut”: Interactive Foreground Extraction using Iterated Graph Cuts",
    "ACM Transactions on Graphics (SIGGRAPH)",
    "https://doi.org/10.1145/1015706.1015720",
)
SELVARAJU_2017 = Paper(
    "R. R. Selvaraju, M. Cogswell, A. Das, R. Vedantam, D. Parikh, D. Batra",
    2017,
    "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based Localization",
    "ICCV",
    "https://arxiv.org/abs/1610.02391",
)
SHRIKUMAR_2016 = Paper(
    "A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje",
    2016,
    "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
    "arXiv",
    "https://arxiv.org/abs/1605.01713",
)
SIMONYAN_2014 = Paper(
    "K. Simonyan, A. Vedaldi, A. Zisserman",
    2014,
    "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
    "ICLR workshop",
    "https://arxiv.org/abs/1312.6034",
)
SMILKOV_2017 = Paper(
    "D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg",
    2017,
    "SmoothGrad: removing noise by adding noise",
    "ICML workshop",
    "https://arxiv.org/abs/1706.03825",
)
SPRINGENBERG_2015 = Paper(
    "J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller",
    2015,
    "Striving for Simplicity: The All Convolutional Net",
    "ICLR workshop",
    "https://arxiv.org/abs/1412.6806",
)
SUNDARARAJAN_2017 = Paper(
    "M. Sundararajan, A. Taly, Q. Yan",
    2017,
    "Axiomatic Attribution for Deep Networks",
    "ICML",
    "https://arxiv.org/abs/1703.01365",
)
SZEGEDY_2014 = Paper(
    "C. Szegedy, W. Zaremba, I. Sutskever, J. Bruna, D. Erhan, I. Goodfellow, R. Fergus",
    2014,
    "Intriguing Properties of Neural Networks",
    "ICLR",
    "https://arxiv.org/abs/1312.6199",
)
VAN_DER_MAATEN_2008 = Paper(
    "L. van der Maaten, G. Hinton",
    2008,
    "Visualizing Data using t-SNE",
    "JMLR 9",
    "https://www.jmlr.org/papers/v9/vandermaaten08a.html",
)
VOSS_2021 = Paper(
    "C. Voss, N. Cammarata, G. Goh, M. Petrov, L. Schubert, B. Egan, S. K. Lim, C. Olah",
    2021,
    "Visualizing Weights",
    "Distill",
    "https://doi.org/10.23915/distill.00024.007",
)
XIAO_2020 = Paper(
    "K. Xiao, L. Engstrom, A. Ilyas, A. Madry",
    2020,
    "Noise or Signal: The Role of Image Backgrounds in Object Recognition",
    "ICLR 2021",
    "https://arxiv.org/abs/2006.09994",
)
YOSINSKI_2015 = Paper(
    "J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson",
    2015,
    "Understanding Neural Networks Through Deep Visualization",
    "ICML deep learning workshop",
    "https://arxiv.org/abs/1506.06579",
)
ZEILER_2014 = Paper(
    "M. D. Zeiler, R. Fergus",
    2014,
    "Visualizing and Understanding Convolutional Networks",
    "ECCV",
    "https://arxiv.org/abs/1311.2901",
)
ZHANG_2018 = Paper(
    "J. Zhang, S. A. Bargal, Z. Lin, J. Brandt, X. Shen, S. Sclaroff",
    2018,
    "Top-Down Neural Attention by Excitation Backprop",
    "International Journal of Computer Vision",
    "https://doi.org/10.1007/s11263-017-1059-x",
)
ZHOU_2016 = Paper(
    "B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba",
    2016,
    "Learning Deep Features for Discriminative Localization",
    "CVPR",
    "https://arxiv.org/abs/1512.04150",
)
